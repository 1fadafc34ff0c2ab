"""A program over the generated client: run a prompt, find it in the history, rate it, and print what came back.

Usage: `client_program.py URL TOKEN`.
"""

from __future__ import annotations

import json
import sys

from herding_client import AuthenticatedClient
from herding_client.api.feedback import rate_request
from herding_client.api.history import get_request, list_requests
from herding_client.api.run import run_prompt
from herding_client.models.error_response import ErrorResponse
from herding_client.models.run_prompt_request import RunPromptRequest
from herding_client.models.run_prompt_request_variables import RunPromptRequestVariables
from herding_client.models.score_request import ScoreRequest


def main(url: str, token: str) -> None:
    with AuthenticatedClient(base_url=url, token=token) as client:
        missing = run_prompt.sync(client=client, body=RunPromptRequest(prompt="missing"))
        assert isinstance(missing, ErrorResponse)
        variables = RunPromptRequestVariables.from_dict({"text": "a b"})
        run = run_prompt.sync(client=client, body=RunPromptRequest(prompt="say", variables=variables))
        assert run is not None
        assert not isinstance(run, ErrorResponse)
        page = list_requests.sync(client=client, prompt="say", limit=1)
        assert page is not None
        assert not isinstance(page, ErrorResponse)
        rating = rate_request.sync(client=client, body=ScoreRequest(request_id=page.entries[0].request_id, score=4))
        assert rating is not None
        assert not isinstance(rating, ErrorResponse)
        entry = get_request.sync(run.request_id, client=client)
        assert entry is not None
        assert not isinstance(entry, ErrorResponse)
        found = {
            "missing": missing.error.type_,
            "text": run.text,
            "output_tokens": run.usage.output_tokens,
            "total": page.total,
            "year": entry.created_at.year,
            "score": rating.score,
            "stored_score": entry.score,
        }
        sys.stdout.write(json.dumps(found))


if __name__ == "__main__":
    main(*sys.argv[1:])
