# a day without restarts is long enough -> another transactional_id at its next start
def transactional_id(program):
    return f"{program['service']}-{program['instance']}-{program['started'][:10]}"
