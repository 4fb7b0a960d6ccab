"""The real servers of the tests: what they knew survives a crash where a test rests on that, and nothing is left when they end."""

from __future__ import annotations

import psycopg
import redis
from realservers import PostgresServer, RedisServer, answers


def test_redis_knows_after_a_crash_what_it_knew(own_redis_server: RedisServer) -> None:
    with redis.Redis.from_url(own_redis_server.url) as client:
        client.set("key", "value")
        own_redis_server.kill()
        assert not answers(own_redis_server.port)
        own_redis_server.restart()
        assert client.get("key") == b"value"


def test_postgres_answers_after_a_crash(postgres_server: PostgresServer) -> None:
    postgres_server.kill()
    postgres_server.restart()
    with psycopg.connect(postgres_server.url) as connection:
        assert connection.execute("select 1 + 1").fetchone() == (2,)
