"""NATS: subjects, and JetStream's streams."""
