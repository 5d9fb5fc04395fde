"""Names for containers that were given none: an adjective and somebody the field owes something to."""

from __future__ import annotations

from collections.abc import Callable

_ADJECTIVES = (
    "able agile airy alert amber ample apt ardent azure balmy blithe bold brave breezy bright brisk calm"
    " candid chatty cheery civil clear clever cordial cosy crisp curious dapper daring deft eager earnest easy"
    " elated epic fair fancy fervent fine fleet fond frank fresh gallant gentle gifted glad golden graceful"
    " grand handy happy hardy hearty honest hopeful humble jolly jovial keen kind lively loyal lucid lucky"
    " mellow merry mild modest neat nimble noble patient placid plucky polite proud prudent quick quiet ready"
    " relaxed rustic serene sharp silent sincere sleepy smooth snug sober spry stoic sturdy subtle sunny swift"
    " tender thrifty tidy tranquil trusty upbeat vivid warm wise witty zesty"
).split()
_SURNAMES = (
    "allen archimedes babbage backus bartik bell bernerslee blackwell bohr boole borg brooks cantor carmack"
    " cerf church clarke codd cohen conway corbato cray curie daemen davies dijkstra easley edison einstein"
    " elion engelbart euclid euler faraday feynman franklin galileo gauss germain goldberg goodall gosling"
    " hamilton hamming herschel hodgkin hoover hopper hypatia jackson jacquard jennings joliot kahn kalam kare"
    " kay keller kepler kernighan khorana kilby knuth lamport lamarr leavitt liskov lovelace maxwell mccarthy"
    " mcclintock mclean meitner mendel merkle metcalfe milner minsky moore morse naur neumann newton noether"
    " noyce papert pascal pasteur perlman pike postel ptolemy ramanujan rhodes ride ritchie rivest rubin saha"
    " sammet shamir shannon sinoussi stallman stroustrup tesla thompson torvalds tu turing volhard wescoff"
    " wiles wilkes wing wirth wozniak wright yalow"
).split()


def invent_name(choose: Callable[[int], int], attempt: int = 0) -> str:
    """adjective_surname; from the second attempt on with a digit behind it.

    Args: choose: gives a number below the one it is given; where chance comes in.
    """
    name = f"{_ADJECTIVES[choose(len(_ADJECTIVES))]}_{_SURNAMES[choose(len(_SURNAMES))]}"
    return f"{name}{choose(10)}" if attempt else name
