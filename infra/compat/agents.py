"""Agents as a user writes them; they call the model with the unchanged OpenAI client."""

import agentlightning as agl
import openai

from stub_model import PROMPT_TOKENS, RESPONSE_TOKENS


@agl.rollout
def asks_once(task, llm: agl.LLM) -> float:
    """Calls the model and returns its reward."""
    client = openai.OpenAI(base_url=llm.endpoint, api_key="none", max_retries=0)
    answer = client.chat.completions.create(
        model=llm.model,
        messages=[{"role": "user", "content": f"What about {task}?"}],
        logprobs=True,
        extra_body={"return_token_ids": True},
    )
    assert answer.choices[0].message.content == "this is."
    return 0.75


@agl.rollout
async def emits_everything(task, prompt_template: agl.PromptTemplate) -> None:
    """Uses every emitter; the reward is one of the spans."""
    agl.emit_message(prompt_template.format(task=task))
    agl.emit_object({"answer": [1, 2.5]})
    agl.emit_annotation({"stage": "middle", "nested": {"score": 1}})
    try:
        raise LookupError("nothing found")
    except LookupError as error:
        agl.emit_exception(error)

    @agl.operation
    def tool(x):
        return {"doubled": x * 2}

    assert tool(21) == {"doubled": 42}
    agl.emit_reward({"score": 0.5, "style": 0.25}, primary_key="score")


@agl.rollout
def always_fails(task, prompt_template: agl.PromptTemplate) -> float:
    raise RuntimeError("an agent that fails")


def check_triplets(spans, reward):
    """The calls of asks_once as what one trains on."""
    (triplet,) = agl.TracerTraceToTriplet().adapt(spans)
    assert triplet.prompt["token_ids"] == PROMPT_TOKENS
    assert triplet.response["token_ids"] == RESPONSE_TOKENS
    assert [token["logprob"] for token in triplet.response["logprobs"]] == [-0.25] * 3
    assert triplet.reward == reward
    return triplet
