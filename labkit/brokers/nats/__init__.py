"""NATS: subjects."""
