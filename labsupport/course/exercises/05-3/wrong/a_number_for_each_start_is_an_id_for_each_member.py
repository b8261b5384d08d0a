# a number for each start is an id for each member -> A had to give up its partition
def settings(name, starts=[]):
    starts.append(name)
    return {"group_instance_id": f"reports-{len(starts)}", "session_timeout_ms": 3_500, "heartbeat_interval_ms": 500}
