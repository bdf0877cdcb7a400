package postgres

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"consilium/internal/analysis"
)

// restoredTable is how a table of an export is stored.
type restoredTable struct {
	name string
	// identity are columns beside the primary key by which what is there is known to be the same.
	identity string
	order    string // of storing
	// change is what becomes of a row that cannot be as it was.
	change string
}

// restored lists the tables of an export in an order in which each row finds what it refers to.
var restored = []restoredTable{
	{name: "studies"},
	{name: "artefacts", identity: "sha256", order: "position"}, // the last of each modality is the newest
	{name: "dicom_studies", identity: "study_id"},
	{name: "dicom_series"},
	{name: "dicom_instances"},
	{name: "answers"},
	{name: "reports"},
	{name: "report_versions"},
	{name: "report_events", identity: "sha256"},
	{name: "models"},
	{name: "model_versions", identity: "id"},
	{name: "knowledge_versions", identity: "id"},
	{name: "knowledge_heads"},
	{name: "knowledge_facts", identity: "id"},
	// A job that was not over waits until somebody resumes it: its items are in nobody's queue.
	{name: "jobs", identity: "request_sha256", change: `CASE WHEN row ->> 'control' = 'active' AND row ->> 'finished_at' IS NULL THEN '{"control": "paused"}' ELSE '{}' END`},
	{name: "job_items", identity: "study_id", change: `CASE WHEN row ->> 'state' IN ('queued', 'running') THEN '{"state": "waiting"}' ELSE '{}' END`},
}

// madeAnew lists the tables whose rows come of other rows, of the files, or of who restores.
var madeAnew = []string{"blobs", "study_vectors", "tenants"}

// maxRowBytes bounds one row of an export.
const maxRowBytes = 64 << 20

// Restore implements analysis.Exporter.
func (s *Store) Restore(ctx context.Context, export *analysis.Export) ([]analysis.RestoredTable, error) {
	tenant, err := tenantOf(ctx)
	if err != nil {
		return nil, err
	}
	for name := range export.Tables {
		if !slices.Contains(madeAnew, name) && !slices.ContainsFunc(restored, func(t restoredTable) bool { return t.name == name }) {
			e := analysis.Invalid("body", "the export has a table that is not known here; it may be of a newer version")
			e.Value = name
			return nil, e
		}
	}
	blobs := slices.SortedFunc(slices.Values(export.Blobs), func(a, b analysis.ExportFile) int { return cmp.Compare(a.SHA256, b.SHA256) })
	digests := make([]string, len(blobs))
	batch := &pgx.Batch{}
	for i, b := range blobs {
		digests[i] = b.SHA256
		batch.Queue("INSERT INTO blobs (tenant_id, sha256, bytes) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING", tenant, b.SHA256, b.Bytes)
	}
	if err := s.pool.SendBatch(ctx, batch).Close(); err != nil {
		return nil, failure("announce what is restored", err)
	}
	var report []analysis.RestoredTable
	err = s.inTx(ctx, "restore an export", func(tx pgx.Tx) error {
		for _, b := range blobs {
			if err := s.restoreBlob(ctx, tx, tenant, b); err != nil {
				return err
			}
		}
		if _, err := tx.Exec(ctx, "CREATE TEMP TABLE incoming (row jsonb NOT NULL) ON COMMIT DROP"); err != nil {
			return err
		}
		for _, t := range restored {
			if len(export.Tables[t.name]) == 0 {
				continue
			}
			done, err := restoreTable(ctx, tx, tenant, t, export.Tables[t.name])
			if err != nil {
				return misfit(t.name, err)
			}
			report = append(report, *done)
		}
		return nil
	})
	if err != nil {
		return nil, errors.Join(err, s.reclaim(ctx, tenant, digests))
	}
	return report, nil
}

// restoreBlob holds and writes one file, as storing a study does.
func (s *Store) restoreBlob(ctx context.Context, tx pgx.Tx, tenant string, b analysis.ExportFile) error {
	tag, err := tx.Exec(ctx, "SELECT FROM blobs WHERE tenant_id = $1 AND sha256 = $2 FOR UPDATE", tenant, b.SHA256)
	if err != nil {
		return err
	}
	if tag.RowsAffected() == 0 {
		return &analysis.Error{Code: analysis.Unavailable, Message: "the same bytes are being deleted", Err: errReclaimed}
	}
	staged, err := s.blobs.Stage(b.Open(), b.Bytes)
	if err != nil {
		return fatal(err)
	}
	if staged.SHA256() != b.SHA256 {
		return errors.Join(fmt.Errorf("restore %s: its bytes are not those of its digest", b.SHA256), staged.Discard())
	}
	if err := s.blobs.Adopt(tenant, staged); err != nil {
		return errors.Join(fatal(err), staged.Discard())
	}
	return nil
}

// restoreTable stores the rows that are not there, for the tenant that asks, whoever's they were.
func restoreTable(ctx context.Context, tx pgx.Tx, tenant string, t restoredTable, files []analysis.ExportFile) (*analysis.RestoredTable, error) {
	if _, err := tx.Exec(ctx, "TRUNCATE incoming"); err != nil {
		return nil, err
	}
	done := &analysis.RestoredTable{Table: t.name}
	for _, file := range files {
		rows := &rowReader{lines: bufio.NewReaderSize(file.Open(), 64<<10)}
		n, err := tx.CopyFrom(ctx, pgx.Identifier{"incoming"}, []string{"row"}, rows)
		if err != nil {
			return nil, err
		}
		done.Rows += int(n)
	}
	if done.Rows == 0 {
		return done, nil
	}
	change := cmp.Or(t.change, "'{}'")
	if _, err := tx.Exec(ctx, "UPDATE incoming SET row = row || ("+change+")::jsonb || jsonb_build_object('tenant_id', $1::text)", tenant); err != nil {
		return nil, err
	}
	columns, key, err := restorable(ctx, tx, t.name)
	if err != nil {
		return nil, err
	}
	table := pgx.Identifier{t.name}.Sanitize()
	from := "FROM incoming i, jsonb_populate_record(NULL::" + table + ", i.row) n"
	order := ""
	if t.order != "" {
		order = " ORDER BY n." + t.order
	}
	list := strings.Join(columns, ", ")
	tag, err := tx.Exec(ctx, fmt.Sprintf("INSERT INTO %s (%s) SELECT %s %s%s ON CONFLICT DO NOTHING", table, list, "n."+strings.Join(columns, ", n."), from, order))
	if err != nil {
		return nil, err
	}
	done.Stored = int(tag.RowsAffected())
	if t.identity != "" {
		key = append(key, t.identity)
	}
	var same []string
	for _, column := range key {
		same = append(same, fmt.Sprintf("t.%s = n.%s", column, column))
	}
	var other string
	err = tx.QueryRow(ctx, fmt.Sprintf("SELECT left(concat_ws(' ', n.%s), 200) %s WHERE NOT EXISTS (SELECT FROM %s t WHERE %s) LIMIT 1",
		strings.Join(key, ", n."), from, table, strings.Join(same, " AND "))).Scan(&other)
	if errors.Is(err, pgx.ErrNoRows) {
		return done, nil
	}
	if err != nil {
		return nil, err
	}
	return nil, &analysis.Error{Code: analysis.Conflict, Field: "tables." + t.name, Message: "something else is stored in the place of what the export holds; restore it where nothing is stored", Value: other}
}

// restorable returns the columns of a table that the rows have and that can be written, and those of its primary key.
func restorable(ctx context.Context, tx pgx.Tx, table string) (columns, key []string, err error) {
	var unknown []string
	err = tx.QueryRow(ctx, `WITH given AS (SELECT DISTINCT k FROM incoming, jsonb_object_keys(row) k),
			has AS (SELECT column_name::text AS c, is_generated FROM information_schema.columns WHERE table_schema = current_schema() AND table_name = $1::text)
		SELECT coalesce((SELECT array_agg(quote_ident(c)) FROM has WHERE is_generated = 'NEVER' AND c IN (SELECT k FROM given)), '{}'),
			coalesce((SELECT array_agg(quote_ident(a.attname)) FROM pg_index x JOIN pg_attribute a ON a.attrelid = x.indrelid AND a.attnum = ANY (x.indkey)
				WHERE x.indisprimary AND x.indrelid = $1::text::regclass), '{}'),
			coalesce((SELECT array_agg(k ORDER BY k) FROM given WHERE k NOT IN (SELECT c FROM has)), '{}')`, table).Scan(&columns, &key, &unknown)
	if err == nil && len(unknown) > 0 {
		e := analysis.Invalid("tables."+table, "the export has a column that is not known here; it may be of a newer version")
		e.Value = strings.ToValidUTF8(unknown[0][:min(len(unknown[0]), 64)], "\uFFFD")
		return nil, nil, e
	}
	return columns, key, err
}

// misfit tells rows that the schema refuses from what failed on our side.
func misfit(table string, err error) error {
	var pg *pgconn.PgError
	if !errors.As(err, &pg) {
		return err
	}
	e := analysis.Invalid("tables."+table, "a row is none that an export holds")
	e.Value, e.Err = pg.ConstraintName, err
	switch {
	case pg.Code == foreignKeyViolation:
		e.Code, e.Message = analysis.Conflict, "a row refers to what is neither in the export nor stored"
	case pg.Code[:2] != "22" && pg.Code[:2] != "23": // data, constraints
		return err
	}
	return e
}

// rowReader reads the lines of a file of rows. It implements pgx.CopyFromSource.
type rowReader struct {
	lines *bufio.Reader
	row   []byte
	err   error
}

// Next implements pgx.CopyFromSource.
func (r *rowReader) Next() bool {
	r.row = r.row[:0]
	for r.err == nil {
		part, err := r.lines.ReadSlice('\n')
		r.row = append(r.row, part...)
		switch {
		case len(r.row) > maxRowBytes:
			r.err = &analysis.Error{Code: analysis.TooLarge, Field: "body", Message: "a row of the export is too large", Limit: fmt.Sprintf("%d bytes", maxRowBytes), Value: "more"}
		case errors.Is(err, bufio.ErrBufferFull):
			continue
		case errors.Is(err, io.EOF):
			return len(bytes.TrimSpace(r.row)) > 0
		case err != nil:
			r.err = err
		case len(bytes.TrimSpace(r.row)) > 0:
			return true
		}
	}
	return false
}

// Values implements pgx.CopyFromSource.
func (r *rowReader) Values() ([]any, error) { return []any{bytes.Clone(r.row)}, nil }

// Err implements pgx.CopyFromSource.
func (r *rowReader) Err() error { return r.err }
