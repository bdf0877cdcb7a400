package analysis

import "context"

type bulkKey struct{}

// WithBulk returns a context of work that nobody waits for: whatever has a queue lets the rest go first.
func WithBulk(ctx context.Context) context.Context {
	return context.WithValue(ctx, bulkKey{}, true)
}

// Bulk reports whether ctx is one of WithBulk.
func Bulk(ctx context.Context) bool {
	bulk, _ := ctx.Value(bulkKey{}).(bool)
	return bulk
}
