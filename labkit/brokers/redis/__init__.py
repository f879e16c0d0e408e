"""Redis, and Valkey: Pub/Sub channels and patterns."""
