package postgres

// Migrator lets tests take the schema back.
var Migrator = migrator
