"""What kafka-python 3.0.12 does wrong, and the workarounds, one function a fault. They are nowhere else.

    fault of the client                                     workaround              reported upstream
    the second poll at an unreadable record never returns   readable                #1443, #1033, #541: older forms
    a header name that is not UTF-8 hides its record        readable                not that we found
    a marker that compaction emptied ends a consumer        readable                not that we found
    a consumer ends when its broker restarts                outlive_brokers         not that we found
    asking for topics raises another request's error        ask_for_all_topics      not that we found
    records of a paused partition never come after resume   resume                  #3131, since pull #2981
    a join that outlasts a short poll is never finished     ask_for_topics          not that we found; #1237 is close
    subscribing again forgets what a pattern has found      listen                  not that we found
    members polled in turn can join for ever: the same      ask_for_topics
    a topic that may not be read brings nothing, silently   require_right_to_read   not that we found
    nothing can end a running `for record in consumer`      end_iteration           not that we found
    the first group's coordinator is asked for once         await_coordinators      not that we found
    an idle producer requests metadata in a busy loop       rest_when_idle          not that we found
    a producer with unsent records is never closed          close                   not that we found
    a fenced producer that sends fences its successor       stays_fenced            #2885 is close
    an end of a transaction is awaited for ever             answers_in_time         not that we found

Three faults are avoided instead:

    a client that cannot connect keeps a thread             broker/metadata.py      not that we found
    KIP-848 and share groups look dead                      groups.py, protocol/    not that we found
    null key and value, null headers cannot be sent         history/librdkafka.py   pull #2004 mentions it

Numbers belong to https://github.com/dpkp/kafka-python. Each fault has a test against the bare client: about rights in
tests/kafka/test_class.py, all others in test_kafka_fixes.py. When that fails on a new version, delete the workaround.
"""

from labsupport.kafka_fixes.admins import COORDINATOR_COMES, await_coordinators
from labsupport.kafka_fixes.consumers import (
    ask_for_all_topics,
    ask_for_topics,
    end_iteration,
    has_joined,
    listen,
    outlive_brokers,
    pattern_of,
    repaired,
    require_right_to_read,
    resume,
)
from labsupport.kafka_fixes.producers import close, rest_when_idle
from labsupport.kafka_fixes.transactional_producers import answers_in_time, stays_fenced
from labsupport.kafka_fixes.unreadable_records import UnreadableError, readable

__all__ = [
    "COORDINATOR_COMES",
    "UnreadableError",
    "answers_in_time",
    "ask_for_all_topics",
    "ask_for_topics",
    "await_coordinators",
    "close",
    "end_iteration",
    "has_joined",
    "listen",
    "outlive_brokers",
    "pattern_of",
    "readable",
    "repaired",
    "require_right_to_read",
    "rest_when_idle",
    "resume",
    "stays_fenced",
]
