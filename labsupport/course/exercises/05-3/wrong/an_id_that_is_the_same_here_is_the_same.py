# an id that is the same here is the same everywhere -> A had to give up its partition
def settings(name):
    return {
        "group_instance_id": f"{name}-{hash(name) % 1000}",
        "session_timeout_ms": 3_500,
        "heartbeat_interval_ms": 500,
    }
