"""Kafka's own kinds of channel, one a file."""
