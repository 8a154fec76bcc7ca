"""What queues and caches do in an app's Redis."""

# arq, which wants an older client than Celery, calls nothing else.
REQUIREMENTS = "redis>=6.1\ncelery\npackaging\nrq\ndramatiq\ntaskiq-redis\ndjango\n"
LIBRARIES = """\
import asyncio
import os
import subprocess
import sys
import threading

from redis import Redis

URL = os.environ["REDIS_URL"]
SOCKET = URL.partition("://")[2]
store = Redis.from_url(URL)


def add(a, b):
    return a + b


def uses_celery():
    from celery import Celery

    app = Celery("libraries", broker="redis+socket://" + SOCKET, backend="redis+socket://" + SOCKET)
    task = app.task(add, name="add")
    from celery.contrib.testing.worker import start_worker

    with start_worker(app, pool="solo", perform_ping_check=False):
        assert task.delay(1, 2).get(timeout=20) == 3
        assert app.control.inspect(timeout=2).ping()
    app.control.purge()


def uses_rq():
    from rq import Queue, SimpleWorker

    queue = Queue("lab", connection=store)
    job = queue.enqueue(max, 1, 2)
    worker = SimpleWorker([queue], connection=store)
    worker.work(burst=True)
    assert job.return_value() == 2
    queue.delete(delete_jobs=True)


def uses_dramatiq():
    import dramatiq
    from dramatiq.brokers.redis import RedisBroker

    broker = RedisBroker(client=store)
    dramatiq.set_broker(broker)
    done = threading.Event()
    dramatiq.actor(done.set, actor_name="done").send()
    worker = dramatiq.Worker(broker)
    worker.start()
    assert done.wait(20)
    worker.stop()
    broker.flush_all()


def uses_taskiq():
    from taskiq_redis import RedisAsyncResultBackend, RedisStreamBroker

    async def main():
        broker = RedisStreamBroker(url=URL).with_result_backend(RedisAsyncResultBackend(redis_url=URL))
        task = broker.register_task(add, task_name="add")
        await broker.startup()
        await task.kiq(1, 2)
        async for message in broker.listen():
            await message.ack()
            break
        await broker.shutdown()

    asyncio.run(main())


def uses_caches():
    from django.conf import settings

    backend = {"BACKEND": "django.core.cache.backends.redis.RedisCache", "LOCATION": URL + "?db=3"}
    settings.configure(CACHES={"default": backend})
    from django.core.cache import cache

    cache.set_many({"a": 1, "b": 2}, 60)
    assert cache.incr("a") == 2
    cache.clear()
    assert cache.get("a") is None
    lock = store.lock("lab.lock", timeout=5)
    assert lock.acquire() and lock.extend(5) is True
    lock.release()


for name in sys.argv[1:]:
    globals()["uses_" + name]()
    print(name)
"""
NAMES = ("celery", "rq", "dramatiq", "taskiq", "caches")
