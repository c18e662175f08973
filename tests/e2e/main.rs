//! pgevents from outside: real PostgreSQL, the real plugin, the real relay, real RabbitMQ.
