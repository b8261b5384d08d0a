# The lab with JupyterLab, beside Kafka:   docker compose --profile lab up
# Alone, with a Kafka of its own:          docker build -t kafka-lab . && docker run --init -p 127.0.0.1:8888:8888 kafka-lab
#
# tests/test_roads.py takes these steps without Docker.

FROM python:3.12-slim
RUN useradd --create-home learner
RUN install --directory --owner=learner /lab /lab/work /lab/.lab /opt/kafka-lab
USER learner
WORKDIR /lab
# Not in the user's home: a hub mounts a volume there, which would hide it.
ENV LAB_CACHE=/opt/kafka-lab
COPY --chown=learner . .
RUN python3 lab.py prepare
EXPOSE 8888
CMD ["python3", "lab.py", "--no-browser", "--ip", "0.0.0.0", "--port", "8888"]
