# the result of a commit can be waited for, if not by commit() -> had not returned
from kafka import AsyncConsumerRebalanceListener, ConsumerRebalanceListener
from kafka.structs import OffsetAndMetadata


def listener(consumer, done):
    def offsets(places):
        known = done()
        return {each: OffsetAndMetadata(known[each] + 1, "", -1) for each in places if each in known}

    class Mine(ConsumerRebalanceListener):
        def on_partitions_revoked(self, revoked):
            import threading

            answered = threading.Event()
            consumer.commit_async(offsets(revoked), callback=lambda *_: answered.set())
            answered.wait()

        def on_partitions_assigned(self, assigned):
            pass

    return Mine()
