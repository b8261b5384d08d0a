# the time of the start makes it unique -> another transactional_id at its next start
def transactional_id(program):
    return f"{program['service']}-{program['instance']}-{program['started']}"
