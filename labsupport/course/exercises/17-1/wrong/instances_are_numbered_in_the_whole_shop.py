# instances are numbered in the whole shop -> Two programs that run at the same time
def transactional_id(program):
    return f"instance-{program['instance']}"
