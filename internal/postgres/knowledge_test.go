package postgres_test

import (
	"testing"

	"consilium/internal/knowledge"
	"consilium/internal/knowledge/knowledgetest"
)

func TestKnowledgeStatic(t *testing.T) {
	knowledgetest.Static(t, func(t *testing.T) knowledge.Static { return newFixture(t).KnowledgeStatic() })
}
