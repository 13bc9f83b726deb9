"""In: the tables of pages and actions. Out: an OpenAPI 3.1 document of their JSON twins. Never here: a route."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from tracehound.web.page import Action, Page, Param

_ERROR = {"description": "what is wrong, in words", "content": {"application/json": {"schema": {
    "type": "object", "required": ["error"], "properties": {"error": {"type": "string"}}}}}}  # fmt: skip


def _schema(p: Param) -> dict[str, Any]:
    made: dict[str, Any] = {"type": p.kind, "description": p.says}
    return {**made, "enum": list(p.choices)} if p.choices else made


def _in_path(path: str) -> list[dict[str, Any]]:
    return [
        {"name": n, "in": "path", "required": True, "schema": {"type": "string", "minLength": 1}} for n in re.findall(r"{(\w+)}", path)
    ]


def _answers(good: str) -> dict[str, Any]:
    ok = {"description": "done", "content": {"application/json": {"schema": {"type": "object"}}}}
    return {good: ok, **dict.fromkeys(("400", "401", "403", "404", "413", "422", "429"), _ERROR)}


def document(pages: Iterable[Page], actions: Iterable[Action], version: str) -> dict[str, Any]:
    """The API: every page as GET, every action as POST."""
    paths: dict[str, dict[str, Any]] = {}
    for page in pages:
        name = (page.path if page.path != "/" else "/index") + ".json"
        query = [{"name": p.name, "in": "query", "required": p.required, "schema": _schema(p)} for p in page.params]
        paths.setdefault(name, {})["get"] = {
            "summary": page.title, "operationId": "get" + re.sub(r"\W+", "_", page.path), "parameters": [*_in_path(page.path), *query],
            "responses": _answers("200"),
        }  # fmt: skip
    for action in actions:
        body: dict[str, Any] = {
            "type": "object", "additionalProperties": False, "properties": {p.name: _schema(p) for p in action.params},
            "required": [p.name for p in action.params if p.required],
        }  # fmt: skip
        paths.setdefault(action.path + ".json", {})["post"] = {
            "summary": action.says, "operationId": "post" + re.sub(r"\W+", "_", action.path), "parameters": _in_path(action.path),
            "requestBody": {"required": bool(body["required"]), "content": {"application/json": {"schema": body}}},
            "responses": _answers("201"), "x-role": action.role,
        }  # fmt: skip
    return {
        "openapi": "3.1.0",
        "info": {"title": "tracehound", "version": version, "description": "Cases, each page as JSON."},
        "paths": paths,
        "components": {"securitySchemes": {"token": {"type": "http", "scheme": "bearer"}}},
        "security": [{"token": []}],
    }
