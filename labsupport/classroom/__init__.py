"""A class on one Kafka: learners with their own users, rights and limits, and a board for the teacher."""
