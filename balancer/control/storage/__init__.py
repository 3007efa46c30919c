"""The database: records, sessions, migrations, backup."""
