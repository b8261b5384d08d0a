# a session need only be as long as the restart -> one interval old
def settings(name):
    return {"session_timeout_ms": 2000, "heartbeat_interval_ms": 500} | {"group_instance_id": name}
