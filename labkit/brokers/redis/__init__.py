"""Redis, and Valkey: Pub/Sub channels and patterns, lists as queues, streams with groups."""
