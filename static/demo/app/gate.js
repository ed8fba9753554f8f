// Calls to the gateway and to the shop. The credentials are in HttpOnly cookies, so this page stores no token and needs
// no code to refresh one.

/** The call needs a sign-in. */
export class SignedOut extends Error {}

/** Any other error, from the problem document (RFC 9457). */
export class Refused extends Error {
  constructor(problem, status, wait) {
    super(problem.title ?? `The response was ${status}.`);
    this.code = problem.code ?? "";
    this.wait = wait;
  }
}

const listeners = [];

/** Calls `listener` with method, path and status of every call. */
export const onCall = (listener) => listeners.push(listener);

const call = async (method, path, body) => {
  const options = { method, headers: { Accept: "application/json" } };
  if (body) {
    options.headers["Content-Type"] = "application/json";
    options.body = JSON.stringify(body);
  }
  const response = await fetch(path, options);
  for (const listener of listeners) listener(method, path, response.status);
  return response;
};

const read = async (response) => {
  if (response.ok) return response.status === 204 ? null : response.json();
  const problem = await response.json().catch(() => ({}));
  if (response.status === 401 && problem.code === "signed_out") throw new SignedOut();
  throw new Refused(problem, response.status, response.headers.get("Retry-After"));
};

/** The signed-in user and the expiry of the access token; `null` if nobody is signed in. */
export const currentUser = async () => {
  const response = await call("GET", "/api/user");
  return response.status === 404 ? null : read(response);
};

export const signIn = async (loginId, password) => read(await call("POST", "/api/login", { loginId, password }));
export const signOut = async () => read(await call("POST", "/api/logout"));

/** The cart at the shop. */
export const cart = async () => read(await call("GET", "/app-demo/data/cart"));
export const changeCart = async (product, change) => read(await call("POST", "/app-demo/data/cart", { product, change }));
