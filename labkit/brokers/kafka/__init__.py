"""Kafka: topics."""
