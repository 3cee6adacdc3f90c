"""The schema's history: NNNN_name.sql, forward only, packaged as vstore.migrations."""
