# SPDX-License-Identifier: Apache-2.0
"""``/templates/``: the system templates that guests are made by."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import Body

from nano_api.clock import wire_time
from nano_api.cloud import CurrentCloud
from nano_api.envelope import Envelope, NanoRouter, reply
from nano_api.sessions.dependency import CurrentSession
from nano_api.templates import service
from nano_api.templates.schemas import NewTemplate, TemplateBody, TemplateDetail, TemplateSummary
from nano_api.templates.tables import SystemTemplate

router = NanoRouter(tags=["templates"])


@router.get(
    "/templates/",
    response_model=Envelope[list[TemplateSummary]],
    summary="List the system templates",
)
def list_templates(cloud: CurrentCloud, _caller: CurrentSession) -> Any:
    """All templates, by name."""
    with cloud.database.reading() as session:
        return reply([_summary(template) for template in service.list_templates(session)])


@router.get(
    "/templates/{template_id}",
    response_model=Envelope[TemplateDetail],
    response_model_exclude_none=True,
    summary="Get a system template",
)
def get_template(template_id: str, cloud: CurrentCloud, _caller: CurrentSession) -> Any:
    """One template with its device models."""
    with cloud.database.reading() as session:
        return reply(_detail(service.get_template(session, template_id)))


TemplateBodyIn = Annotated[TemplateBody, Body(default_factory=TemplateBody)]


@router.post(
    "/templates/", response_model=Envelope[NewTemplate], summary="Create a system template"
)
def create_template(cloud: CurrentCloud, _caller: CurrentSession, body: TemplateBodyIn) -> Any:
    """A template for guests that are made from now on."""
    choices = service.TemplateChoices(**body.model_dump())
    with cloud.database.transaction() as session:
        template = service.create(session, choices)
    return reply({"id": template.id})


@router.put(
    "/templates/{template_id}", response_model=Envelope[str], summary="Change a system template"
)
def change_template(
    template_id: str, cloud: CurrentCloud, _caller: CurrentSession, body: TemplateBodyIn
) -> Any:
    """Replace all choices; guests that were made by it keep theirs."""
    choices = service.TemplateChoices(**body.model_dump())
    with cloud.database.transaction() as session:
        service.change(session, template_id, choices)
    return reply()


@router.delete(
    "/templates/{template_id}", response_model=Envelope[str], summary="Delete a system template"
)
def delete_template(template_id: str, cloud: CurrentCloud, _caller: CurrentSession) -> Any:
    """Guests that were made by it keep their devices."""
    with cloud.database.transaction() as session:
        service.delete(session, template_id)
    return reply()


def _summary(template: SystemTemplate) -> dict[str, Any]:
    return {
        "id": template.id,
        "name": template.name,
        "operating_system": template.operating_system,
        "created_time": wire_time(template.created_at),
        "modified_time": wire_time(template.modified_at),
    }


def _detail(template: SystemTemplate) -> dict[str, Any]:
    return {
        **_summary(template),
        "admin": template.admin,
        "disk": template.disk,
        "network": template.network,
        "display": template.display,
        "control": template.control,
        "usb": template.usb or None,
        "tablet": template.tablet or None,
    }
