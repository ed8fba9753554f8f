// A single-page shop. It requests the current user, shows its own sign-in form, and handles expired sessions: a call with
// the response 401 is repeated after the same user has signed in again.

import * as gate from "./gate.js";
import * as view from "./view.js";

const WHY = "Your cart is kept for you.";
const WHY_AGAIN = "Your session has ended. Sign in to continue where you were.";
const WORDS = {
  invalid_credentials: "The name or the password is not right.",
  provider_unavailable: "Signing in is not possible for the moment.",
};

let ends = 0;
let waiting = null;
let person = null;

const inWords = (error) => {
  if (!(error instanceof gate.Refused)) return "The shop cannot be reached.";
  const wait = error.wait ? ` Try again in ${error.wait} seconds.` : "";
  return (WORDS[error.code] ?? `${error.message}.`) + wait;
};

/** Makes a call, and repeats it after a sign-in if it needs one. The page stays as it is. */
const attempt = async (work) => {
  try {
    await work();
  } catch (error) {
    if (error instanceof gate.SignedOut) {
      waiting = work;
      ends = 0;
      view.askToSignIn(WHY_AGAIN);
    } else {
      view.showTrouble(inWords(error));
    }
  }
};

const look = async () => {
  const cart = await gate.cart();
  const current = await gate.currentUser();
  if (!current) throw new gate.SignedOut();
  ends = current.expiresInstant;
  person = current.user.id;
  view.showPerson(current.user);
  view.showCart(cart);
  tick();
};

const onSignIn = async (loginId, password) => {
  view.busy(true);
  try {
    const { user } = await gate.signIn(loginId, password);
    view.closeDoor();
    // Another user must not repeat the call of the previous one, or see that user's data.
    const isAnother = person !== null && user.id !== person;
    if (isAnother) view.clear();
    const work = isAnother ? look : (waiting ?? look);
    waiting = null;
    await attempt(work);
    if (work !== look) await attempt(look);
  } catch (error) {
    view.showTrouble(inWords(error));
  } finally {
    view.busy(false);
  }
};

const onSignOut = () =>
  attempt(async () => {
    await gate.signOut();
    ends = 0;
    person = null;
    view.clear();
    view.askToSignIn("You are signed out, here and everywhere.");
    tick();
  });

const onChange = (product, change) => attempt(async () => view.showCart(await gate.changeCart(product, change)));

const tick = () => {
  const left = Math.ceil((ends - Date.now()) / 1000);
  if (!ends) view.showEnd("Nobody is signed in.");
  else if (left > 0) view.showEnd(`The access token expires in ${left} s. This page has never seen it.`);
  else view.showEnd("The access token has expired. The next call refreshes it.");
};

gate.onCall(view.noteCall);
view.listen({ onSignIn, onSignOut, onAgain: () => attempt(look), onChange });
setInterval(tick, 1000);

try {
  if (await gate.currentUser()) await attempt(look);
  else view.askToSignIn(WHY);
} catch (error) {
  view.askToSignIn(WHY);
  view.showTrouble(inWords(error));
}
