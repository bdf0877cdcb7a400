package analysis

import "time"

// Key names the tenant of a request and what the request may do beside the work of everybody.
type Key struct {
	Tenant string
	Name   string // unique among the tenant's keys, also those that were revoked
	Sign   bool   // may sign, amend and reject reports
	Manage bool   // may take an export back, and delete everything
	// CreatedAt is when the key was made, RevokedAt when it ceased to work, nil if it works.
	CreatedAt time.Time
	RevokedAt *time.Time
}
