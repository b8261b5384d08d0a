# longer is safer -> nobody reads its partitions
def settings(name):
    return {"session_timeout_ms": 30000, "heartbeat_interval_ms": 500} | {"group_instance_id": name}
