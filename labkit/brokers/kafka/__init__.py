"""Kafka: topics read by consumer groups, and transactions over them."""
