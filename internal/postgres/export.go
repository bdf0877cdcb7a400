package postgres

import (
	"bytes"
	"context"
	"fmt"
	"io"

	"github.com/jackc/pgx/v5"

	"consilium/internal/analysis"
)

// exportChunk is the size from which the rows of a table go on in another file: a file's size has to be known before it.
const exportChunk = 1 << 20

// Export implements analysis.Exporter. Every table that has tenants is exported, so none can be forgotten; all as of one
// moment.
func (s *Store) Export(ctx context.Context, file func(name string, size int64, content io.Reader) error) error {
	tenant, err := tenantOf(ctx)
	if err != nil {
		return err
	}
	options := pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly}
	return failure("export what is stored", pgx.BeginTxFunc(ctx, s.pool, options, func(tx pgx.Tx) error {
		tables, err := tenantTables(ctx, tx)
		if err != nil {
			return err
		}
		for _, table := range tables {
			if err := exportTable(ctx, tx, tenant, table, file); err != nil {
				return err
			}
		}
		return s.exportBlobs(ctx, tx, tenant, file)
	}))
}

// tenantTables returns the tables whose rows belong to tenants. Keys are the operator's.
func tenantTables(ctx context.Context, tx pgx.Tx) ([]string, error) {
	rows, err := tx.Query(ctx, `SELECT c.table_name FROM information_schema.columns c JOIN information_schema.tables t USING (table_schema, table_name)
		WHERE c.table_schema = current_schema() AND c.column_name = 'tenant_id' AND c.table_name <> 'api_keys' AND t.table_type = 'BASE TABLE' ORDER BY c.table_name`)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowTo[string])
}

// exportTable writes rows as JSON, one a line.
func exportTable(ctx context.Context, tx pgx.Tx, tenant, table string, file func(string, int64, io.Reader) error) error {
	rows, err := tx.Query(ctx, fmt.Sprintf("SELECT row_to_json(t)::text FROM %s t WHERE tenant_id = $1", pgx.Identifier{table}.Sanitize()), tenant)
	if err != nil {
		return err
	}
	defer rows.Close()
	var chunk bytes.Buffer
	var row []byte
	number := 0
	flush := func() error {
		number++
		defer chunk.Reset()
		return file(fmt.Sprintf("tables/%s-%04d.ndjson", table, number), int64(chunk.Len()), bytes.NewReader(chunk.Bytes()))
	}
	for rows.Next() {
		if err := rows.Scan(&row); err != nil {
			return err
		}
		chunk.Write(row)
		chunk.WriteByte('\n')
		if chunk.Len() >= exportChunk {
			if err := flush(); err != nil {
				return err
			}
		}
	}
	if err := rows.Err(); err != nil {
		return err
	}
	if chunk.Len() == 0 && number > 0 {
		return nil
	}
	return flush() // an empty table too is told
}

// exportBlobs writes the bytes that the exported rows name. What is deleted meanwhile is gone: its rows say what it was.
func (s *Store) exportBlobs(ctx context.Context, tx pgx.Tx, tenant string, file func(string, int64, io.Reader) error) error {
	const page = 1000
	for after := ""; ; {
		rows, err := tx.Query(ctx, "SELECT sha256, bytes FROM blobs b WHERE tenant_id = $1 AND sha256 > $2 AND NOT ("+unheld+") ORDER BY sha256 LIMIT $3", tenant, after, page)
		if err != nil {
			return err
		}
		type row struct {
			Digest string
			Bytes  int64
		}
		blobs, err := pgx.CollectRows(rows, pgx.RowToStructByPos[row])
		if err != nil {
			return err
		}
		for _, b := range blobs {
			if err := s.exportBlob(tenant, b.Digest, b.Bytes, file); err != nil {
				return err
			}
			after = b.Digest
		}
		if len(blobs) < page {
			return nil
		}
	}
}

func (s *Store) exportBlob(tenant, digest string, size int64, file func(string, int64, io.Reader) error) error {
	content, err := s.blobs.Reader(tenant, digest)
	if analysis.CodeOf(err) == analysis.NotFound {
		return nil
	}
	if err != nil {
		return fatal(err)
	}
	err = file("blobs/"+digest, size, content)
	if closeErr := content.Close(); err == nil {
		err = closeErr
	}
	if err != nil {
		return fatal(err)
	}
	return nil
}
