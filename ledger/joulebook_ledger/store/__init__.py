"""The only room that speaks SQL: tables, laws, facts, usage, journal and chain."""
