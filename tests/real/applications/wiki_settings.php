<?php
// A wiki that knows its users by a header, with MediaWiki's own kind of provider for sessions that it does not start itself.
use MediaWiki\Session\ImmutableSessionProviderWithCookie;
use MediaWiki\Session\SessionBackend;
use MediaWiki\Session\SessionInfo;
use MediaWiki\Session\UserInfo;

class RemoteUserSessionProvider extends ImmutableSessionProviderWithCookie {
    public function provideSessionInfo(WebRequest $request) {
        $name = $request->getHeader('Remote-User');
        if (!$name) {
            return null;
        }
        return new SessionInfo($this->priority, [
            'provider' => $this,
            'id' => $this->getSessionIdFromCookie($request),
            'userInfo' => UserInfo::newFromName(ucfirst($name), true),
            'persisted' => $this->sessionCookieName !== null,
        ]);
    }

    public function canChangeUser() {
        return false;
    }
}

$directory = getenv('DATA');
$wgSitename = 'Porch';
$wgServer = 'http://' . ($_SERVER['HTTP_HOST'] ?? 'localhost');
$wgScriptPath = '';
$wgArticlePath = '/wiki/$1';
$wgDBtype = 'sqlite';
$wgDBname = 'wiki';
$wgSQLiteDataDir = $directory;
$wgUploadDirectory = "$directory/images";
$wgUploadPath = '/images';
$wgEnableUploads = true;
$wgCacheDirectory = "$directory/cache";
// APCu may be missing. A cache in the SQLite file of the pages locks it while one is saved.
$wgMainCacheType = CACHE_NONE;
$wgMessageCacheType = CACHE_NONE;
$wgParserCacheType = CACHE_NONE;
$wgSecretKey = 'a key for tests';
$wgJobRunRate = 0;
$wgNamespacesWithSubpages[NS_MAIN] = true;
$wgGroupPermissions['*']['edit'] = false;
$wgGroupPermissions['*']['autocreateaccount'] = true;
$wgSessionProviders[RemoteUserSessionProvider::class] = [
    'class' => RemoteUserSessionProvider::class,
    'args' => [[
        'priority' => SessionInfo::MAX_PRIORITY,
        'sessionCookieName' => '_remote_user_session',
    ]],
];
wfLoadSkin('Vector');
