"""Keep everything in PostgreSQL: one aggregate per module, hot paths as plain SQL over psycopg."""
