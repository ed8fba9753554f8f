// What this page asks of the gateway and of the shop. The proof travels in cookies that no script can read, so there is
// nothing here to keep, to renew or to lose.

/** The gateway will not pass this call without a sign-in. */
export class SignedOut extends Error {}

/** Another no, in the gateway's words (RFC 9457). */
export class Refused extends Error {
  constructor(problem, status, wait) {
    super(problem.title ?? `The answer was ${status}.`);
    this.code = problem.code ?? "";
    this.wait = wait;
  }
}

const listeners = [];

/** Calls `heard` with method, path and status of every call. */
export const onCall = (heard) => listeners.push(heard);

const call = async (method, path, body) => {
  const options = { method, headers: { Accept: "application/json" } };
  if (body) {
    options.headers["Content-Type"] = "application/json";
    options.body = JSON.stringify(body);
  }
  const answer = await fetch(path, options);
  for (const heard of listeners) heard(method, path, answer.status);
  return answer;
};

const read = async (answer) => {
  if (answer.ok) return answer.status === 204 ? null : answer.json();
  const problem = await answer.json().catch(() => ({}));
  if (answer.status === 401 && problem.code === "signed_out") throw new SignedOut();
  throw new Refused(problem, answer.status, answer.headers.get("Retry-After"));
};

/** Who is signed in, and until when without a renewal; `null` for nobody. */
export const currentUser = async () => {
  const answer = await call("GET", "/api/user");
  return answer.status === 404 ? null : read(answer);
};

export const signIn = async (loginId, password) => read(await call("POST", "/api/login", { loginId, password }));
export const signOut = async () => read(await call("POST", "/api/logout"));

/** The cart, as the shop has it. */
export const cart = async () => read(await call("GET", "/app-demo/data/cart"));
export const changeCart = async (product, change) => read(await call("POST", "/app-demo/data/cart", { product, change }));
