"""RabbitMQ: exchanges, queues and streams."""
