import { useCallback, useState } from 'react';
import { createRoot } from 'react-dom/client';
import { FusionAuthProvider, useFusionAuth } from '@fusionauth/react-sdk';

function Page({ returnedWith }) {
  const { isLoggedIn, userInfo, error, startLogin, startRegister, startLogout, refreshToken } = useFusionAuth();
  const [renewal, setRenewal] = useState('');
  if (!isLoggedIn) {
    return (
      <>
        <p id="who">nobody</p>
        <button id="login" onClick={() => startLogin('deep link: /orders?page=2')}>Sign in</button>
        <button id="register" onClick={() => startRegister()}>Make an account</button>
      </>
    );
  }
  const renew = () => refreshToken().then(answer => setRenewal(String(answer.status)), error => setRenewal(error.message));
  return (
    <>
      <p id="who">{userInfo?.email ?? error?.message ?? '…'}</p>
      <pre id="claims">{JSON.stringify(userInfo)}</pre>
      <p id="state">{returnedWith}</p>
      <button id="renew" onClick={renew}>Renew</button>
      <p id="renewal">{renewal}</p>
      <button id="logout" onClick={startLogout}>Sign out</button>
    </>
  );
}

function App({ serverUrl, clientId }) {
  const [returnedWith, setReturnedWith] = useState('');
  const [failure, setFailure] = useState('');
  // The SDK starts anew with every new function it is given.
  const onRedirect = useCallback(state => setReturnedWith(state ?? 'without a state'), []);
  const onAutoRefreshFailure = useCallback(error => setFailure(error.message), []);
  return (
    <FusionAuthProvider
      clientId={clientId}
      serverUrl={serverUrl}
      redirectUri={location.origin}
      scope="openid email profile offline_access"
      shouldAutoFetchUserInfo
      shouldAutoRefresh
      onRedirect={onRedirect}
      onAutoRefreshFailure={onAutoRefreshFailure}
    >
      <Page returnedWith={returnedWith} />
      <p id="failure">{failure}</p>
    </FusionAuthProvider>
  );
}

const settings = await (await fetch('/settings.json')).json();
createRoot(document.getElementById('root')).render(<App {...settings} />);
