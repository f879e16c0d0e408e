"""Learn message brokers by running real ones."""
