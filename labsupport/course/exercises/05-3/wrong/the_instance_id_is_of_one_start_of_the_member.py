# the instance id is of one start of the member -> A had to give up its partition
from uuid import uuid4


def settings(name):
    return {"group_instance_id": f"{name}-{uuid4()}", "session_timeout_ms": 3_500, "heartbeat_interval_ms": 500}
