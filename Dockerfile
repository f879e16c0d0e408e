# The lab with its brokers inside: JupyterLab on the lessons, as an ordinary user.
#
#   docker build -t broker-lab .
#   docker run --rm -p 127.0.0.1:8888:8888 broker-lab
#
# The first stage is `make lab`'s own set-up, from the same pinned, hash-checked lists; the second has what it made.
FROM python:3.13-slim-trixie AS build
ENV LABKIT_HOME=/opt/broker-lab
WORKDIR /lab
COPY . .
RUN apt-get update && python scripts/setup.py

FROM python:3.13-slim-trixie
RUN useradd --uid 1000 --create-home learner
# The same places as before: an environment, and programs that name their libraries, cannot be moved.
COPY --from=build --chown=learner /lab /lab
COPY --from=build --chown=learner /opt/broker-lab /opt/broker-lab
ENV LABKIT_HOME=/opt/broker-lab PATH=/lab/.venv/bin:$PATH
USER learner
WORKDIR /lab
EXPOSE 8888
# On every address of the container; which addresses of the machine lead there is for `docker run -p` to say.
CMD ["labkit", "lab", "--no-browser", "--ip", "0.0.0.0", "--port", "8888"]
