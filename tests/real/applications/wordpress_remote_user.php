<?php
/* Plugin Name: Signs in whoever the proxy names, as plugins for this do: once, with WordPress's own cookies. */
add_action('init', function () {
    $name = $_SERVER['HTTP_REMOTE_USER'] ?? '';
    if ($name === '' || is_user_logged_in()) {
        return;
    }
    $user = get_user_by('login', $name);
    if ($user) {
        wp_set_current_user($user->ID);
        wp_set_auth_cookie($user->ID);
        // The pages beneath /wp-admin/ look at the cookies of the request.
        if ($_SERVER['REQUEST_METHOD'] === 'GET') {
            wp_safe_redirect($_SERVER['REQUEST_URI']);
            exit;
        }
    }
}, 1);
