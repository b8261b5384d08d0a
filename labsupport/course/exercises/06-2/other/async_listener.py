from kafka import AsyncConsumerRebalanceListener
from kafka.structs import OffsetAndMetadata


class Awaits(AsyncConsumerRebalanceListener):
    def __init__(self, consumer, done):
        self.consumer, self.done, self.since = consumer, done, frozenset()

    async def on_partitions_revoked(self, revoked):
        last = dict(self.done().items() - self.since)
        mine = {p: OffsetAndMetadata(last[p] + 1, "", -1) for p in set(revoked) & set(last)}
        if mine:
            await self.consumer.commit_async(mine)

    async def on_partitions_assigned(self, assigned):
        self.since = frozenset(self.done().items())

    async def on_partitions_lost(self, lost):
        pass


def listener(consumer, done):
    return Awaits(consumer, done)
