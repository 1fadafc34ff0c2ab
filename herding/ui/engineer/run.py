from herding.ui.kit.format import el
async def response_section(edited, who, orchestrator):
    return el("section", el("p","No response yet"), id="engineer-response")
def run_buttons(edited, who):
    return el("div", el("button","Run",type="button",cls="btn primary",id="run"))
