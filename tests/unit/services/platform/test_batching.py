"""What many ask at the same time is answered together; nobody waits for company, nobody waits for ever."""

import asyncio
from collections.abc import Sequence

import pytest

from services.platform.batching import Batcher


class Doubler:
    """Answers with the double, when told to; knows what it was asked."""

    def __init__(self) -> None:
        self.asked: list[list[int]] = []
        self.may_answer = asyncio.Event()
        self.may_answer.set()

    async def __call__(self, numbers: Sequence[int]) -> Sequence[int | Exception]:
        self.asked.append(list(numbers))
        await self.may_answer.wait()
        if 13 in numbers:
            raise OSError("away")
        return [ValueError("odd one") if number == 7 else number * 2 for number in numbers]


async def test_what_is_asked_together_is_one_question_and_each_gets_its_own_answer():
    doubler = Doubler()
    batcher = Batcher(doubler)
    assert await asyncio.gather(*[batcher.ask(n) for n in range(5)]) == [0, 2, 4, 6, 8]
    assert doubler.asked == [[0, 1, 2, 3, 4]]


async def test_what_comes_meanwhile_goes_out_together_with_the_next():
    doubler = Doubler()
    batcher = Batcher(doubler, size_max=3)
    doubler.may_answer.clear()
    first = asyncio.create_task(batcher.ask(1))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert doubler.asked == [[1]], "who asks alone does not wait"
    others = [asyncio.create_task(batcher.ask(n)) for n in (2, 3, 4, 5)]
    await asyncio.sleep(0)
    doubler.may_answer.set()
    assert await asyncio.gather(first, *others) == [2, 4, 6, 8, 10]
    assert doubler.asked == [[1], [2, 3, 4], [5]]


async def test_an_error_goes_to_whom_it_concerns():
    batcher = Batcher(Doubler())
    answers = await asyncio.gather(*[batcher.ask(n) for n in (6, 7, 8)], return_exceptions=True)
    assert isinstance(answers[1], ValueError) and [answers[0], answers[2]] == [12, 16]
    answers = await asyncio.gather(*[batcher.ask(n) for n in (1, 13)], return_exceptions=True)
    assert all(isinstance(answer, OSError) for answer in answers)
    assert await batcher.ask(2) == 4, "it goes on afterwards"


async def test_who_gives_up_waiting_takes_nobody_along():
    doubler = Doubler()
    batcher = Batcher(doubler)
    doubler.may_answer.clear()
    asked = [asyncio.create_task(batcher.ask(n)) for n in (1, 2)]
    await asyncio.sleep(0)
    late = [asyncio.create_task(batcher.ask(n)) for n in (3, 4)]
    await asyncio.sleep(0)
    for task in (asked[0], late[0]):
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    doubler.may_answer.set()
    assert [await asked[1], await late[1]] == [4, 8]
    assert doubler.asked == [[1, 2], [4]], "nobody is asked for who has gone"
