"""Set the lab up, and say what prevents that. Standard library only: nothing else may be installed yet.

Read in this order: bootstrap → installer → sources → installed → obstacles. Kafka and notebooks do not belong here.
"""
