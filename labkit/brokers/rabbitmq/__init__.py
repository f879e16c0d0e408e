"""RabbitMQ: exchanges and queues."""
