package postgres

import (
	"context"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"

	"consilium/internal/analysis"
)

// search builds the conditions of a query; every value is a parameter.
type search struct {
	where []string
	args  []any
}

// arg adds a parameter and returns its name.
func (s *search) arg(value any) string {
	s.args = append(s.args, value)
	return fmt.Sprintf("$%d", len(s.args))
}

func (s *search) and(format string, args ...any) {
	s.where = append(s.where, fmt.Sprintf(format, args...))
}

// attributes names the column of a level that holds its attributes.
var attributes = map[analysis.Level]string{analysis.StudyLevel: "d.attributes", analysis.SeriesLevel: "se.attributes", analysis.InstanceLevel: "i.metadata"}

// match adds a condition: one of the attribute's values matches.
func (s *search) match(m analysis.Match) {
	if m.Tag == analysis.ModalitiesInStudy {
		s.and(`EXISTS (SELECT FROM dicom_series x WHERE x.tenant_id = d.tenant_id AND x.study_uid = d.uid AND %s)`, s.valueMatches("x.attributes", "00080060", m))
		return
	}
	s.and("%s", s.valueMatches(attributes[m.Level], m.Tag, m))
}

func (s *search) valueMatches(column, tag string, m analysis.Match) string {
	values := fmt.Sprintf("jsonb_array_elements(%s -> %s::text -> 'Value') AS v(v)", column, s.arg(tag))
	const text = "(v.v #>> '{}')"
	var condition string
	switch m.Kind {
	case analysis.MatchAny:
		condition = fmt.Sprintf("%s = ANY(%s::text[])", text, s.arg(m.Values))
	case analysis.MatchWildcard:
		condition = fmt.Sprintf("%s LIKE %s", text, s.arg(likePattern(m.Values[0])))
	case analysis.MatchName:
		pattern := s.arg(likePattern(m.Values[0]))
		condition = fmt.Sprintf("(v.v ->> 'Alphabetic' ILIKE %[1]s OR v.v ->> 'Ideographic' ILIKE %[1]s OR v.v ->> 'Phonetic' ILIKE %[1]s)", pattern)
	case analysis.MatchRange:
		// Dates and times sort as text; a shorter upper end includes what begins with it.
		condition = "true"
		if from := m.Values[0]; from != "" {
			condition += fmt.Sprintf(` AND %s >= %s COLLATE "C"`, text, s.arg(from))
		}
		if to := m.Values[1]; to != "" {
			condition += fmt.Sprintf(` AND %s <= %s COLLATE "C"`, text, s.arg(to+"~"))
		}
	}
	return fmt.Sprintf("EXISTS (SELECT FROM %s WHERE %s)", values, condition)
}

// likePattern turns the wildcards of DICOM into those of SQL.
func likePattern(pattern string) string {
	return strings.NewReplacer(`\`, `\\`, "%", `\%`, "_", `\_`, "*", "%", "?", "_").Replace(pattern)
}

// modalitiesInStudy selects the different modalities of a study's series.
const modalitiesInStudy = `ARRAY(SELECT DISTINCT x.attributes #>> '{00080060,Value,0}' AS modality FROM dicom_series x
	WHERE x.tenant_id = d.tenant_id AND x.study_uid = d.uid AND x.attributes #>> '{00080060,Value,0}' <> '' ORDER BY modality)`

// SearchInstances implements analysis.InstanceStore.
func (s *Store) SearchInstances(ctx context.Context, query analysis.InstanceQuery) ([]analysis.InstanceMatch, error) {
	tenant, err := tenantOf(ctx)
	if err != nil {
		return nil, err
	}
	q := &search{}
	q.and("d.tenant_id = %s", q.arg(tenant))
	if query.StudyUID != "" {
		q.and("d.uid = %s", q.arg(query.StudyUID))
	}
	seriesUID, uid, seriesAttributes, metadata, seriesInstances := "''", "''", "NULL::jsonb", "NULL::jsonb", "0"
	from, order := "dicom_studies d", "d.study_id DESC"
	if query.Level >= analysis.SeriesLevel {
		seriesUID, seriesAttributes = "se.uid", "se.attributes"
		seriesInstances = "(SELECT count(*) FROM dicom_instances x WHERE x.tenant_id = d.tenant_id AND x.series_uid = se.uid)"
		from += " JOIN dicom_series se ON se.tenant_id = d.tenant_id AND se.study_uid = d.uid"
		order += ", (SELECT min(x.position) FROM dicom_instances x WHERE x.tenant_id = d.tenant_id AND x.series_uid = se.uid)"
		if query.SeriesUID != "" {
			q.and("se.uid = %s", q.arg(query.SeriesUID))
		}
	}
	if query.Level == analysis.InstanceLevel {
		uid, metadata = "i.uid", "i.metadata"
		if query.Fields != nil {
			metadata = fmt.Sprintf("(SELECT coalesce(jsonb_object_agg(f.key, f.value), '{}') FROM jsonb_each(i.metadata) f WHERE f.key = ANY(%s::text[]))", q.arg(query.Fields))
		}
		from += " JOIN dicom_instances i ON i.tenant_id = d.tenant_id AND i.series_uid = se.uid"
		order += ", i.position"
	}
	columns := strings.Join([]string{"d.uid", seriesUID, uid, "d.attributes", seriesAttributes, metadata, modalitiesInStudy,
		"(SELECT count(*) FROM dicom_series x WHERE x.tenant_id = d.tenant_id AND x.study_uid = d.uid)",
		"(SELECT count(*) FROM dicom_instances x WHERE x.tenant_id = d.tenant_id AND x.study_uid = d.uid)", seriesInstances}, ", ")
	for _, m := range query.Matches {
		q.match(m)
	}
	sql := fmt.Sprintf("SELECT %s FROM %s WHERE %s ORDER BY %s LIMIT %s OFFSET %s", columns, from, strings.Join(q.where, " AND "), order, q.arg(query.Limit), q.arg(query.Offset))
	rows, err := s.pool.Query(ctx, sql, q.args...)
	if err != nil {
		return nil, failure("search instances", err)
	}
	matches, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (m analysis.InstanceMatch, err error) {
		err = row.Scan(&m.StudyUID, &m.SeriesUID, &m.UID, &m.Study, &m.Series, &m.Instance, &m.Modalities, &m.StudySeries, &m.StudyInstances, &m.SeriesInstances)
		return m, err
	})
	return matches, failure("search instances", err)
}
