from kafka import AsyncConsumerRebalanceListener, ConsumerRebalanceListener
from kafka.structs import OffsetAndMetadata


def listener(consumer, done):
    sent = {}

    def offsets(places):
        known = done()
        return {each: OffsetAndMetadata(known[each] + 1, "", -1) for each in places if each in known}

    class Mine(ConsumerRebalanceListener):
        def on_partitions_revoked(self, revoked):
            now = {each: at for each, at in offsets(revoked).items() if sent.get(each) != at}
            sent.update(now)
            consumer.commit_async(now, callback=lambda *_: None)

        def on_partitions_assigned(self, assigned):
            pass

    return Mine()
